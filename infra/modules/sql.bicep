// The database of the sensors' tables. It knows identities only: there is no SQL login at all. Its users
// are made inside it, by hand, as infra/README.md says.

@description('Name of the server, less .database.windows.net; new in all of Azure.')
param serverName string

param databaseName string
param location string

@description('Entra group that administers it: its name, and its object id.')
param administrators object

@description('Most cores that it takes.')
param cores int

@description('Idle minutes after which it pauses, and costs storage only; -1 for never.')
param pauseMinutes int

@description('Whether only private endpoints reach it.')
param closed bool

@description('Log Analytics workspace for errors and time-outs.')
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
    publicNetworkAccess: closed ? 'Disabled' : 'Enabled'
  }
}

// Without a network of one's own, machines of Azure ML and Stream Analytics come from addresses that
// nobody knows beforehand. This admits all of Azure to the sign-in, and identities alone past it.
resource azure 'Microsoft.Sql/servers/firewallRules@2023-08-01-preview' = if (!closed) {
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
