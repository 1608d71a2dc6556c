// Readings come in here, and Capture lays them where the pipeline sensor_ingestion looks for them.

@description('Of the namespace; new in all of Azure.')
param name string

param location string

@description('Name of the event hub that devices send to.')
param hubName string

@description('Partitions, which cannot be changed later; as many readers can read at the same time.')
param partitions int

@description('Name of the storage account of the data.')
param storageName string

@description('Container that Capture writes to.')
param container string

@description('Folder of it.')
param folder string

@description('Role definition of Storage Blob Data Contributor.')
param blobContributor string

@description('Whether only private endpoints reach it.')
param closed bool

@description('Log Analytics workspace for Capture\'s errors.')
param logs string

resource namespace 'Microsoft.EventHub/namespaces@2024-01-01' = {
  name: name
  location: location
  sku: {
    name: 'Standard' // the least that has Capture
    tier: 'Standard'
    capacity: 1
  }
  identity: {
    type: 'SystemAssigned'
  }
  properties: {
    disableLocalAuth: true // no connection string opens it
    minimumTlsVersion: '1.2'
    isAutoInflateEnabled: true
    maximumThroughputUnits: 4
    publicNetworkAccess: closed ? 'Disabled' : 'Enabled'
  }
}

module captureWrites 'container_role.bicep' = {
  name: 'capture-writes-${container}'
  params: {
    accountName: storageName
    containerName: container
    principal: namespace.identity.principalId
    role: blobContributor
    reason: 'Capture writes readings as blobs; it takes no narrower role, and no scope below a container.'
  }
}

resource hub 'Microsoft.EventHub/namespaces/eventhubs@2024-01-01' = {
  parent: namespace
  name: hubName
  properties: {
    partitionCount: partitions
    messageRetentionInDays: 1
    captureDescription: {
      enabled: true
      encoding: 'Avro'
      intervalInSeconds: 300
      sizeLimitInBytes: 104857600
      skipEmptyArchives: true
      destination: {
        name: 'EventHubArchive.AzureBlockBlob'
        identity: {
          type: 'SystemAssigned'
        }
        properties: {
          storageAccountResourceId: resourceId('Microsoft.Storage/storageAccounts', storageName)
          blobContainer: container
          archiveNameFormat: '${folder}/{Namespace}/{EventHub}/{PartitionId}/{Year}/{Month}/{Day}/{Hour}/{Minute}/{Second}'
        }
      }
    }
  }
  dependsOn: [
    captureWrites
  ]
}

resource windows 'Microsoft.EventHub/namespaces/eventhubs/consumergroups@2024-01-01' = {
  parent: hub
  name: 'windows' // of Stream Analytics alone
}

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-log-analytics'
  scope: namespace
  properties: {
    workspaceId: logs
    logs: [
      {
        category: 'ArchiveLogs'
        enabled: true
      }
      {
        category: 'RuntimeAuditLogs'
        enabled: true
      }
    ]
  }
}

output name string = namespace.name
output hubName string = hub.name
output consumerGroup string = windows.name
