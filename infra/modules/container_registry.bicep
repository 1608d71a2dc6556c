// The image of every step, built by Azure ML from Dockerfile and requirements.lock.

@maxLength(50)
param name string

param location string

@description('Whether only private endpoints reach it; these need the dearer tier.')
param closed bool

@description('Log Analytics workspace for records of who pushed and pulled.')
param logs string

resource registry 'Microsoft.ContainerRegistry/registries@2025-04-01' = {
  name: name
  location: location
  sku: {
    name: closed ? 'Premium' : 'Standard'
  }
  properties: {
    adminUserEnabled: false // a password for everybody
    anonymousPullEnabled: false
    publicNetworkAccess: closed ? 'Disabled' : 'Enabled'
    networkRuleBypassOptions: 'AzureServices'
  }
}

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-log-analytics'
  scope: registry
  properties: {
    workspaceId: logs
    logs: [
      {
        category: 'ContainerRegistryRepositoryEvents'
        enabled: true
      }
      {
        category: 'ContainerRegistryLoginEvents'
        enabled: true
      }
    ]
  }
}

output id string = registry.id
