// Stores the images that Azure ML builds from the Dockerfiles and requirements.lock.

@maxLength(50)
param name string

param location string

@description('Whether only private endpoints reach it; these need the Premium tier.')
param isPrivate bool

@description('Log Analytics workspace for logs of pushes, pulls and sign-ins.')
param logs string

resource registry 'Microsoft.ContainerRegistry/registries@2025-04-01' = {
  name: name
  location: location
  sku: {
    name: isPrivate ? 'Premium' : 'Standard'
  }
  properties: {
    adminUserEnabled: false // one password for all users
    anonymousPullEnabled: false
    publicNetworkAccess: isPrivate ? 'Disabled' : 'Enabled'
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
