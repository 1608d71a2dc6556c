// The Azure ML workspace. It accesses its storage by identity, not by the account's key.
//
// The only preview version of Azure ML here: no stable one, through 2026-05-01, has
// allowRoleAssignmentOnRG. Move to a stable version as soon as one has it.

param name string
param location string

@description('Storage account of code and logs.')
param storage string

param keyVault string
param applicationInsights string
param containerRegistry string

@description('Cluster that builds images; empty for the registry itself, which cannot build in a private network.')
param imageBuilder string

@description('Whether only private endpoints reach it.')
param isPrivate bool

@description('Log Analytics workspace for logs of jobs, clusters and endpoints.')
param logs string

resource workspace 'Microsoft.MachineLearningServices/workspaces@2026-05-15-preview' = {
  name: name
  location: location
  sku: {
    name: 'Basic'
    tier: 'Basic'
  }
  identity: {
    type: 'SystemAssigned'
  }
  properties: {
    friendlyName: name
    storageAccount: storage
    keyVault: keyVault
    applicationInsights: applicationInsights
    containerRegistry: containerRegistry
    imageBuildCompute: empty(imageBuilder) ? null : imageBuilder
    systemDatastoresAuthMode: 'Identity'
    // Azure ML assigns this identity its roles itself: on the four resources above, not on the
    // complete resource group.
    allowRoleAssignmentOnRG: false
    v1LegacyMode: false
    publicNetworkAccess: isPrivate ? 'Disabled' : 'Enabled'
  }
}

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-log-analytics'
  scope: workspace
  properties: {
    workspaceId: logs
    logs: [
      {
        categoryGroup: 'allLogs'
        enabled: true
      }
    ]
    metrics: [
      {
        category: 'AllMetrics'
        enabled: true
      }
    ]
  }
}

output id string = workspace.id
output name string = workspace.name
