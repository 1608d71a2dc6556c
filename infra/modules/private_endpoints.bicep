// Ways from the network to all that holds data, each with the names that lead there.

param name string
param location string

@description('Network that names are known in.')
param network string

@description('Subnet that they have their addresses in.')
param subnet string

@description('Names of what they lead to.')
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

var places = [
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

module endpoint 'private_endpoint.bicep' = [for place in places: {
  name: 'endpoint-${place.name}'
  params: {
    name: '${name}-${place.name}'
    location: location
    subnet: subnet
    target: place.target
    service: place.service
    zones: place.zones
  }
  dependsOn: [
    zone
    link
  ]
}]
