// Private endpoints and DNS zones of all resources with data.

param name string
param location string

@description('Network in which the names are resolved.')
param network string

@description('Subnet of the endpoints\' addresses.')
param subnet string

@description('Names of the resources that the endpoints connect to.')
param dataName string

param codeName string
param keyVaultName string
param registryName string
param serverName string
param namespaceName string
param workspaceName string

var blobZone = 'privatelink.blob.${environment().suffixes.storage}'
var fileZone = 'privatelink.file.${environment().suffixes.storage}'
var queueZone = 'privatelink.queue.${environment().suffixes.storage}'
var sqlZone = 'privatelink${environment().suffixes.sqlServerHostname}'
var vaultZone = 'privatelink.vaultcore.azure.net'
var registryZone = 'privatelink.azurecr.io'
var hubZone = 'privatelink.servicebus.windows.net'
var apiZone = 'privatelink.api.azureml.ms'
var notebookZone = 'privatelink.notebooks.azure.net'

var zones = [
  blobZone
  fileZone
  queueZone
  sqlZone
  vaultZone
  registryZone
  hubZone
  apiZone
  notebookZone
]

resource zone 'Microsoft.Network/privateDnsZones@2024-06-01' = [for each in zones: {
  name: each
  location: 'global'
}]

resource link 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = [for (each, index) in zones: {
  parent: zone[index]
  name: name
  location: 'global'
  properties: {
    registrationEnabled: false
    virtualNetwork: {
      id: network
    }
  }
}]

var targets = [
  {
    name: 'data-blobs'
    target: resourceId('Microsoft.Storage/storageAccounts', dataName)
    service: 'blob'
    zones: [blobZone]
  }
  {
    name: 'data-queues'
    target: resourceId('Microsoft.Storage/storageAccounts', dataName)
    service: 'queue'
    zones: [queueZone]
  }
  {
    name: 'code-blobs'
    target: resourceId('Microsoft.Storage/storageAccounts', codeName)
    service: 'blob'
    zones: [blobZone]
  }
  {
    name: 'code-files'
    target: resourceId('Microsoft.Storage/storageAccounts', codeName)
    service: 'file'
    zones: [fileZone]
  }
  {
    name: 'key-vault'
    target: resourceId('Microsoft.KeyVault/vaults', keyVaultName)
    service: 'vault'
    zones: [vaultZone]
  }
  {
    name: 'registry'
    target: resourceId('Microsoft.ContainerRegistry/registries', registryName)
    service: 'registry'
    zones: [registryZone]
  }
  {
    name: 'database'
    target: resourceId('Microsoft.Sql/servers', serverName)
    service: 'sqlServer'
    zones: [sqlZone]
  }
  {
    name: 'event-hubs'
    target: resourceId('Microsoft.EventHub/namespaces', namespaceName)
    service: 'namespace'
    zones: [hubZone]
  }
  {
    name: 'workspace'
    target: resourceId('Microsoft.MachineLearningServices/workspaces', workspaceName)
    service: 'amlworkspace'
    zones: [apiZone, notebookZone]
  }
]

module endpoint 'private_endpoint.bicep' = [for each in targets: {
  name: 'endpoint-${each.name}'
  params: {
    name: '${name}-${each.name}'
    location: location
    subnet: subnet
    target: each.target
    service: each.service
    zones: each.zones
  }
  dependsOn: [
    zone
    link
  ]
}]
