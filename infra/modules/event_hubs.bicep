// Receives readings; Capture writes them to the folder that the pipeline sensor_ingestion reads.

@description('Name of the namespace, unique in Azure.')
param name string

param location string

@description('Name of the event hub that devices send to.')
param hubName string

@description('Number of partitions, which limits parallel readers and cannot be changed later.')
param partitions int

@description('Storage account of the data.')
param storageName string

@description('Container that Capture writes to.')
param container string

@description('Folder in that container.')
param folder string

@description('Role definition of Storage Blob Data Contributor.')
param blobContributor string

@description('Whether only private endpoints reach it.')
param isPrivate bool

@description('Log Analytics workspace for errors of Capture and the audit log.')
param logs string

resource namespace 'Microsoft.EventHub/namespaces@2024-01-01' = {
  name: name
  location: location
  sku: {
    name: 'Standard' // the lowest tier with Capture
    tier: 'Standard'
    capacity: 1
  }
  identity: {
    type: 'SystemAssigned'
  }
  properties: {
    disableLocalAuth: true // connection strings grant nothing
    minimumTlsVersion: '1.2'
    isAutoInflateEnabled: true
    maximumThroughputUnits: 4
    publicNetworkAccess: isPrivate ? 'Disabled' : 'Enabled'
  }
}

module captureWrites 'container_role.bicep' = {
  name: 'capture-writes-${container}'
  params: {
    accountName: storageName
    containerName: container
    principal: namespace.identity.principalId
    role: blobContributor
    reason: 'Capture writes readings as blobs; it accepts no narrower role, and no scope below a container.'
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
  name: 'windows' // for Stream Analytics only
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
