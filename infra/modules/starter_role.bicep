// A custom role that may start published pipelines and read their state. The built-in role AzureML Data
// Scientist may also change and delete models, data and endpoints.

param workspaceName string

resource workspace 'Microsoft.MachineLearningServices/workspaces@2026-05-15-preview' existing = {
  name: workspaceName
}

var group = resourceGroup()
// A role's name must be unique in the Entra tenant, and may have 512 characters: "Azure custom roles" in
// Microsoft's documentation. Groups of different subscriptions can have the same name.
var roleScope = '${subscription().subscriptionId}/${group.name}/${workspaceName}'

// Microsoft's list in "Authorization on batch endpoints", and jobs/read. Azure ML requires the actions on
// secrets and keys even where there are none: no datastore here has a credential, and the storage
// account accepts no key.
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
    description: 'Starts pipelines published on batch endpoints, and reads the state of their jobs.'
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
