// Required by Azure ML. The project stores nothing in it: no datastore has a credential.
//
// With purge protection, a deleted vault keeps its name for 90 days. It cannot be purged, only
// recovered: "Azure Key Vault soft-delete overview" in Microsoft's documentation.

@maxLength(24)
param name string

param location string

@description('Whether a deleted vault with this name is recovered.')
param recover bool

@description('Whether only private endpoints reach it.')
param isPrivate bool

@description('Log Analytics workspace for the audit log.')
param logs string

resource vault 'Microsoft.KeyVault/vaults@2023-07-01' = {
  name: name
  location: location
  properties: {
    createMode: recover ? 'recover' : 'default'
    tenantId: subscription().tenantId
    sku: {
      family: 'A'
      name: 'standard'
    }
    enableRbacAuthorization: true // roles instead of access policies
    enableSoftDelete: true
    enablePurgeProtection: true
    publicNetworkAccess: isPrivate ? 'Disabled' : 'Enabled'
    networkAcls: {
      bypass: 'AzureServices'
      defaultAction: isPrivate ? 'Deny' : 'Allow'
    }
  }
}

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-log-analytics'
  scope: vault
  properties: {
    workspaceId: logs
    logs: [
      {
        categoryGroup: 'audit'
        enabled: true
      }
    ]
  }
}

output id string = vault.id
