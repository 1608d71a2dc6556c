// Takes new videos from the queue, one at a time in each of several lanes, and starts the published
// pipeline for each once. What it does is in infra/trigger/workflow.json; docs/operate.md tells it.

param name string
param location string

@description('Identity that it enters queue, markers and workspace with.')
param identity string

@description('Storage account of videos, queue and markers.')
param storageName string

@description('Queue in which new videos are announced.')
param queue string

@description('Lines of cloud.yml about the trigger.')
param settings object

@description('Region and workspace of the endpoint.')
param region string

param workspaceId string

@description('Log Analytics workspace for records of each run.')
param logs string

var storage = environment().suffixes.storage
var inputs = [for input in items(settings.inputs): {
  name: input.key
  value: {
    jobInputType: 'Literal'
    value: input.value
  }
}]
// As many runs at the same time, each with one video from its start to its end; no further one waits.
var lanes = {
  triggers: {
    Every_minute: {
      runtimeConfiguration: {
        concurrency: {
          runs: settings.most_at_once
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
    definition: union(loadJsonContent('../trigger/workflow.json'), lanes)
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
