// Starts the published pipeline once for each new video in the queue, with a limited number of
// concurrent runs. infra/trigger/workflow.json defines the workflow; docs/operate.md explains it.

param name string
param location string

@description('Identity with which it accesses queue, markers and workspace.')
param identity string

@description('Storage account of videos, queue and markers.')
param storageName string

@description('Queue of events for new videos.')
param queue string

@description('Trigger settings in cloud.yml.')
param settings object

@description('Region and workspace of the endpoint.')
param region string

param workspaceId string

@description('Log Analytics workspace for the log of runs.')
param logs string

var storage = environment().suffixes.storage
var inputs = [for input in items(settings.inputs): {
  name: input.key
  value: {
    jobInputType: 'Literal'
    value: input.value
  }
}]
// Limits concurrent runs, each of which handles one video; no further run waits.
var concurrency = {
  triggers: {
    Every_minute: {
      runtimeConfiguration: {
        concurrency: {
          runs: settings.max_concurrent_runs
        }
      }
    }
  }
}

resource workflow 'Microsoft.Logic/workflows@2019-05-01' = {
  name: name
  location: location
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identity}': {}
    }
  }
  properties: {
    state: 'Enabled'
    definition: union(loadJsonContent('../trigger/workflow.json'), concurrency)
    parameters: {
      identity: {
        value: identity
      }
      queue: {
        value: 'https://${storageName}.queue.${storage}/${queue}'
      }
      markers: {
        value: 'https://${storageName}.blob.${storage}/${settings.markers}'
      }
      endpoint: {
        value: 'https://${settings.endpoint}.${region}.inference.ml.azure.com/jobs'
      }
      workspace: {
        value: '${environment().resourceManager}${substring(workspaceId, 1)}'
      }
      manager: {
        value: environment().resourceManager
      }
      container: {
        value: settings.container
      }
      suffixes: {
        value: settings.suffixes
      }
      attempts: {
        value: settings.attempts
      }
      fileInput: {
        value: settings.file_input
      }
      inputs: {
        value: toObject(inputs, input => input.name, input => input.value)
      }
    }
  }
}

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-log-analytics'
  scope: workflow
  properties: {
    workspaceId: logs
    logs: [
      {
        category: 'WorkflowRuntime'
        enabled: true
      }
    ]
  }
}
