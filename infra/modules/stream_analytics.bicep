// Computes windows of readings as they close; infra/stream_analytics/README.md explains their use. The
// job is created stopped: start it after creating its user and table in the database.

param name string
param location string

@description('Event Hubs namespace, hub and consumer group of the readings.')
param namespaceName string

param hubName string
param consumerGroup string

@description('Storage account and container of quarantined readings.')
param storageName string

param container string

@description('Server and database of the windows.')
param serverName string

param databaseName string

@description('Table of the windows.')
param table string

@description('Role definitions of Azure Event Hubs Data Receiver and Storage Blob Data Contributor.')
param hubReceiver string

param blobContributor string

@description('Streaming units: 3 for one third of a unit of version 2, 10 for one unit.')
param units int

@description('Seconds that windows wait for late readings.')
param lateSeconds int

@description('Log Analytics workspace for errors.')
param logs string

resource job 'Microsoft.StreamAnalytics/streamingjobs@2021-10-01-preview' = {
  name: name
  location: location
  identity: {
    type: 'SystemAssigned'
  }
  properties: {
    sku: {
      name: 'StandardV2'
    }
    jobType: 'Cloud'
    compatibilityLevel: '1.2'
    dataLocale: 'en-US'
    // Adjust would move late readings to windows that they do not belong to.
    eventsOutOfOrderPolicy: 'Drop'
    eventsOutOfOrderMaxDelayInSeconds: lateSeconds
    eventsLateArrivalMaxDelayInSeconds: lateSeconds
    outputErrorPolicy: 'Stop'
  }
}

resource readings 'Microsoft.StreamAnalytics/streamingjobs/inputs@2021-10-01-preview' = {
  parent: job
  name: 'readings'
  properties: {
    type: 'Stream'
    datasource: {
      type: 'Microsoft.EventHub/EventHub'
      properties: {
        serviceBusNamespace: namespaceName
        eventHubName: hubName
        consumerGroupName: consumerGroup
        authenticationMode: 'Msi'
      }
    }
    serialization: {
      type: 'Json'
      properties: {
        encoding: 'UTF8'
      }
    }
  }
}

resource windows 'Microsoft.StreamAnalytics/streamingjobs/outputs@2021-10-01-preview' = {
  parent: job
  name: 'windows'
  properties: {
    datasource: {
      type: 'Microsoft.Sql/Server/Database'
      properties: {
        server: '${serverName}${environment().suffixes.sqlServerHostname}'
        database: databaseName
        table: table
        authenticationMode: 'Msi'
      }
    }
  }
}

resource quarantine 'Microsoft.StreamAnalytics/streamingjobs/outputs@2021-10-01-preview' = {
  parent: job
  name: 'quarantine'
  properties: {
    datasource: {
      type: 'Microsoft.Storage/Blob'
      properties: {
        storageAccounts: [
          {
            accountName: storageName
          }
        ]
        container: container
        pathPattern: 'readings/{date}'
        dateFormat: 'yyyy/MM/dd'
        timeFormat: 'HH'
        authenticationMode: 'Msi'
      }
    }
    serialization: {
      type: 'Json'
      properties: {
        encoding: 'UTF8'
        format: 'LineSeparated'
      }
    }
  }
}

resource query 'Microsoft.StreamAnalytics/streamingjobs/transformations@2021-10-01-preview' = {
  parent: job
  name: 'query'
  properties: {
    streamingUnits: units
    query: loadTextContent('../stream_analytics/sensor_windows.asaql')
  }
}

module readHub 'hub_role.bicep' = {
  name: 'windows-read-${hubName}'
  params: {
    namespaceName: namespaceName
    hubName: hubName
    principal: job.identity.principalId
    role: hubReceiver
    reason: 'The query receives readings from this hub, and sends none.'
  }
}

module writeQuarantine 'container_role.bicep' = {
  name: 'windows-write-${container}'
  params: {
    accountName: storageName
    containerName: container
    principal: job.identity.principalId
    role: blobContributor
    reason: 'The query appends quarantined readings here only; no narrower role can write.'
  }
}

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-log-analytics'
  scope: job
  properties: {
    workspaceId: logs
    logs: [
      {
        category: 'Execution'
        enabled: true
      }
      {
        category: 'Authoring'
        enabled: true
      }
    ]
  }
}
