// What may start pipelines that were published, and see how they end: less than the built-in role
// AzureML Data Scientist, which may also change and delete models, data and endpoints.

param workspaceName string

resource workspace 'Microsoft.MachineLearningServices/workspaces@2026-05-15-preview' existing = {
  name: workspaceName
}

var group = resourceGroup()
// Names of roles are unique in the Entra tenant, so that another subscription's group of the same name
// needs another one; 512 characters are allowed ("Azure custom roles").
var roleScope = '${subscription().subscriptionId}/${group.name}/${workspaceName}'

// The list is Microsoft's own, from "Authorization on batch endpoints", and the last line. Some lines
// name secrets and keys: Azure ML asks for them also where there are none. Here no datastore has a
// credential, and the storage account takes no key.
var actions = [
  'Microsoft.MachineLearningServices/workspaces/read'
  'Microsoft.MachineLearningServices/workspaces/data/versions/write'
  'Microsoft.MachineLearningServices/workspaces/datasets/registered/read'
  'Microsoft.MachineLearningServices/workspaces/datasets/registered/write'
  'Microsoft.MachineLearningServices/workspaces/datasets/unregistered/read'
  'Microsoft.MachineLearningServices/workspaces/datasets/unregistered/write'
  'Microsoft.MachineLearningServices/workspaces/datastores/read'
  'Microsoft.MachineLearningServices/workspaces/datastores/write'
  'Microsoft.MachineLearningServices/workspaces/datastores/listsecrets/action'
  'Microsoft.MachineLearningServices/workspaces/listStorageAccountKeys/action'
  'Microsoft.MachineLearningServices/workspaces/batchEndpoints/read'
  'Microsoft.MachineLearningServices/workspaces/batchEndpoints/deployments/read'
  'Microsoft.MachineLearningServices/workspaces/computes/read'
  'Microsoft.MachineLearningServices/workspaces/computes/listKeys/action'
  'Microsoft.MachineLearningServices/workspaces/metadata/secrets/read'
  'Microsoft.MachineLearningServices/workspaces/metadata/snapshots/read'
  'Microsoft.MachineLearningServices/workspaces/metadata/artifacts/read'
  'Microsoft.MachineLearningServices/workspaces/metadata/artifacts/write'
  'Microsoft.MachineLearningServices/workspaces/experiments/read'
  'Microsoft.MachineLearningServices/workspaces/experiments/runs/submit/action'
  'Microsoft.MachineLearningServices/workspaces/experiments/runs/read'
  'Microsoft.MachineLearningServices/workspaces/experiments/runs/write'
  'Microsoft.MachineLearningServices/workspaces/metrics/resource/write'
  'Microsoft.MachineLearningServices/workspaces/modules/read'
  'Microsoft.MachineLearningServices/workspaces/models/read'
  'Microsoft.MachineLearningServices/workspaces/endpoints/pipelines/read'
  'Microsoft.MachineLearningServices/workspaces/endpoints/pipelines/write'
  'Microsoft.MachineLearningServices/workspaces/environments/read'
  'Microsoft.MachineLearningServices/workspaces/environments/write'
  'Microsoft.MachineLearningServices/workspaces/environments/build/action'
  'Microsoft.MachineLearningServices/workspaces/environments/readSecrets/action'
  'Microsoft.MachineLearningServices/workspaces/jobs/read'
]

resource definition 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(group.id, workspace.id, 'starter')
  properties: {
    roleName: 'Starter of published pipelines (${roleScope})'
    description: 'Starts pipelines that are published on batch endpoints, and reads how their jobs end.'
    type: 'CustomRole'
    permissions: [
      {
        actions: actions
        notActions: []
      }
    ]
    assignableScopes: [
      group.id
    ]
  }
}

output role string = definition.name
