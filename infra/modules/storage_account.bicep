// A storage account that accepts only identities: no public blobs, no account keys, no old TLS.

@minLength(3)
@maxLength(24)
param name string

param location string

@description('Redundancy: Standard_LRS, Standard_ZRS or Standard_GRS.')
param redundancy string

@description('Names of its containers, all private.')
param containers array

@description('Names of its queues.')
param queues array

@description('Lifecycle rules: name, prefixes (container/path; none for all), and days since the last change until blobs are moved to the cool tier and deleted; 0 for never.')
param rules array

@description('Whether only private endpoints and trusted Azure services reach it.')
param isPrivate bool

@description('Log Analytics workspace for logs of writes and deletions.')
param logs string

resource account 'Microsoft.Storage/storageAccounts@2023-05-01' = {
  name: name
  location: location
  kind: 'StorageV2'
  sku: {
    name: redundancy
  }
  properties: {
    accessTier: 'Hot'
    allowBlobPublicAccess: false
    allowSharedKeyAccess: false // account keys, and tokens signed with them, grant nothing
    allowCrossTenantReplication: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    publicNetworkAccess: isPrivate ? 'Disabled' : 'Enabled'
    networkAcls: {
      bypass: 'AzureServices' // Event Grid and Capture, by their identities
      defaultAction: isPrivate ? 'Deny' : 'Allow'
    }
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2023-05-01' = {
  parent: account
  name: 'default'
  properties: {
    deleteRetentionPolicy: {
      enabled: true
      days: 14 // to restore blobs that were deleted or replaced by mistake
    }
    containerDeleteRetentionPolicy: {
      enabled: true
      days: 14
    }
  }
}

resource container 'Microsoft.Storage/storageAccounts/blobServices/containers@2023-05-01' = [for each in containers: {
  parent: blobs
  name: each
  properties: {
    publicAccess: 'None'
  }
}]

resource queueService 'Microsoft.Storage/storageAccounts/queueServices@2023-05-01' = {
  parent: account
  name: 'default'
}

resource queue 'Microsoft.Storage/storageAccounts/queueServices/queues@2023-05-01' = [for each in queues: {
  parent: queueService
  name: each
}]

resource lifecycle 'Microsoft.Storage/storageAccounts/managementPolicies@2023-05-01' = {
  parent: account
  name: 'default'
  properties: {
    policy: {
      rules: [for rule in rules: {
        name: rule.name
        enabled: true
        type: 'Lifecycle'
        definition: {
          filters: {
            blobTypes: [
              'blockBlob'
            ]
            prefixMatch: rule.prefixes
          }
          actions: {
            baseBlob: {
              tierToCool: rule.coolDays == 0 ? null : {
                daysAfterModificationGreaterThan: rule.coolDays
              }
              delete: rule.deleteDays == 0 ? null : {
                daysAfterModificationGreaterThan: rule.deleteDays
              }
            }
          }
        }
      }]
    }
  }
}

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-log-analytics'
  scope: blobs
  properties: {
    workspaceId: logs
    logs: [
      {
        category: 'StorageWrite'
        enabled: true
      }
      {
        category: 'StorageDelete'
        enabled: true
      }
    ]
  }
}

output id string = account.id
