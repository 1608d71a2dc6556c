// The database of the sensors' tables. It accepts Entra identities only, no SQL logins. Create its users
// manually inside it: infra/README.md.

@description('Name of the server without .database.windows.net, unique in Azure.')
param serverName string

param databaseName string
param location string

@description('Entra group of administrators: name and object id.')
param administrators object

@description('Maximum number of cores.')
param cores int

@description('Idle minutes after which it pauses and costs only storage; -1 for never.')
param pauseMinutes int

@description('Whether only private endpoints reach it.')
param isPrivate bool

@description('Log Analytics workspace for errors, timeouts and blocks.')
param logs string

resource server 'Microsoft.Sql/servers@2023-08-01-preview' = {
  name: serverName
  location: location
  properties: {
    administrators: {
      administratorType: 'ActiveDirectory'
      azureADOnlyAuthentication: true
      principalType: 'Group'
      login: administrators.name
      sid: administrators.id
      tenantId: subscription().tenantId
    }
    minimalTlsVersion: '1.2'
    publicNetworkAccess: isPrivate ? 'Disabled' : 'Enabled'
  }
}

// Without a private network, nodes and Stream Analytics have addresses that are not known in advance.
// This rule admits all of Azure to the sign-in, which only identities pass.
resource azure 'Microsoft.Sql/servers/firewallRules@2023-08-01-preview' = if (!isPrivate) {
  parent: server
  name: 'AllowAllWindowsAzureIps'
  properties: {
    startIpAddress: '0.0.0.0'
    endIpAddress: '0.0.0.0'
  }
}

resource database 'Microsoft.Sql/servers/databases@2023-08-01-preview' = {
  parent: server
  name: databaseName
  location: location
  sku: {
    name: 'GP_S_Gen5'
    tier: 'GeneralPurpose'
    family: 'Gen5'
    capacity: cores
  }
  properties: {
    autoPauseDelay: pauseMinutes
    minCapacity: json('0.5')
    requestedBackupStorageRedundancy: 'Local'
  }
}

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-log-analytics'
  scope: database
  properties: {
    workspaceId: logs
    logs: [
      {
        category: 'Errors'
        enabled: true
      }
      {
        category: 'Timeouts'
        enabled: true
      }
      {
        category: 'Blocks'
        enabled: true
      }
    ]
  }
}

output id string = server.id
