// Supporting resources of Quartet's jobs in a resource group. infra/README.md explains how to deploy them.
//
// Names are those of conf/azureml, which the project's own commands read as well.

targetScope = 'resourceGroup'

@description('Begins the names of all that conf/azureml does not name; the workspace has just this one.')
@minLength(3)
@maxLength(12)
param name string = 'quartet'

@description('Entra group of the people who operate it: its name, and its object id.')
param operators object

@description('Storage account of the data, and server of the database, where they are not those of globals.yml: two environments cannot share names that are new in all of Azure.')
param storageAccount string = ''

param sqlServer string = ''

@description('Clusters of cloud.yml that are not made, as the subscription has no quota for them yet.')
param leftOut array = []

@description('Copies of each storage account.')
@allowed([
  'Standard_LRS'
  'Standard_ZRS'
  'Standard_GRS'
])
param copies string = 'Standard_LRS'

@description('Most cores of the database; idle minutes until it pauses, -1 for never.')
param databaseCores int = 2

param databasePauseMinutes int = 60

@description('Partitions of the event hub; they cannot be changed later.')
param partitions int = 4

@description('Whether Stream Analytics computes windows as they close.')
param streamWindows bool = false

@description('Whether a new video starts the published pipeline; publish it before: kedro cloud publish.')
param videoTrigger bool = false

@description('Whether all stands in a network of its own, behind private endpoints.')
param privateNetwork bool = false

@description('Addresses of that network.')
param addresses string = '10.20.0.0/16'

@description('Whether to recover the key vault of an earlier deployment, deleted less than 90 days ago, whose name is still taken. Set it for one deployment: without such a vault it fails.')
param recoverKeyVault bool = false

@description('Days that log entries, captured readings and reports are kept; 0 keeps the latter two for ever.')
param logDays int = 90

param captureDays int = 400
param reportDays int = 0

var globals = loadYamlContent('../conf/azureml/globals.yml')
var cloud = loadYamlContent('../conf/azureml/cloud.yml').cloud

var location = cloud.region
// Without a trigger in cloud.yml there is nothing to watch. any(): the compiler knows the file, and would
// refuse a name that is not in it.
var watching = contains(cloud, 'trigger')
var watched = watching ? any(cloud).trigger : {
  container: ''
  markers: ''
  suffixes: []
}
// Logic Apps and Stream Analytics that are paid by what they do stand outside of any network of ours. In
// a private one `kedro cloud watch` and the pipelines do the same.
var triggered = videoTrigger && watching && !privateNetwork
var streamed = streamWindows && !privateNetwork
var unique = uniqueString(resourceGroup().id)
var squeezed = replace(name, '-', '')
var dataAccount = empty(storageAccount) ? globals.storage_account : storageAccount
var server = empty(sqlServer) ? globals.sql_server : sqlServer
var codeAccount = '${take(squeezed, 7)}code${unique}'
var keyVaultName = take('${name}-${unique}', 24)
var registryName = '${squeezed}${unique}'

// Beside the containers that steps know: what Event Grid could not deliver, readings with a fault.
var deadLetters = 'deadletters'
var quarantine = 'quarantine'
var dataContainers = union(map(items(cloud.datastores), each => each.value), watching ? [
  watched.container
  watched.markers
] : [], [
  deadLetters
  quarantine
])
var videoQueue = 'new-${watched.container}'
// Where the pipeline sensor_ingestion looks, below the container `raw`.
var captureFolder = 'sensors/captures'

var roles = loadJsonContent('roles.json')

module identities 'modules/identities.bicep' = {
  name: 'identities'
  params: {
    jobsName: cloud.identity
    triggerName: '${name}-trigger'
    location: location
  }
}

module logs 'modules/log_analytics.bicep' = {
  name: 'logs'
  params: {
    name: '${name}-logs'
    location: location
    keepDays: logDays
  }
}

module insights 'modules/application_insights.bicep' = {
  name: 'insights'
  params: {
    name: '${name}-insights'
    location: location
    logs: logs.outputs.id
  }
}

module workbook 'modules/workbook.bicep' = {
  name: 'workbook'
  params: {
    location: location
    logs: logs.outputs.id
  }
}

module keyVault 'modules/key_vault.bicep' = {
  name: 'key-vault'
  params: {
    name: keyVaultName
    location: location
    recover: recoverKeyVault
    closed: privateNetwork
    logs: logs.outputs.id
  }
}

module registry 'modules/container_registry.bicep' = {
  name: 'registry'
  params: {
    name: registryName
    location: location
    closed: privateNetwork
    logs: logs.outputs.id
  }
}

module data 'modules/storage_account.bicep' = {
  name: 'data'
  params: {
    name: dataAccount
    location: location
    copies: copies
    containers: dataContainers
    queues: watching ? [
      videoQueue
    ] : []
    rules: [
      {
        name: 'captures'
        prefixes: [
          'raw/${captureFolder}/'
        ]
        coolDays: 30
        deleteDays: captureDays
      }
      {
        name: 'reports'
        prefixes: [
          'reports/'
        ]
        coolDays: 90
        deleteDays: reportDays
      }
      {
        name: 'dead-letters'
        prefixes: [
          '${deadLetters}/'
        ]
        coolDays: 0
        deleteDays: 90
      }
    ]
    closed: privateNetwork
    logs: logs.outputs.id
  }
}

module code 'modules/storage_account.bicep' = {
  name: 'code'
  params: {
    name: codeAccount
    location: location
    copies: copies
    containers: []
    queues: []
    rules: [
      {
        name: 'old-jobs' // code, logs and step folders of a job are hardly looked at after a month
        prefixes: []
        coolDays: 30
        deleteDays: 0
      }
    ]
    closed: privateNetwork
    logs: logs.outputs.id
  }
}

module workspace 'modules/workspace.bicep' = {
  name: 'workspace'
  params: {
    name: name
    location: location
    storage: code.outputs.id
    keyVault: keyVault.outputs.id
    applicationInsights: insights.outputs.id
    containerRegistry: registry.outputs.id
    imageBuilder: privateNetwork ? 'cpu-cluster' : ''
    closed: privateNetwork
    logs: logs.outputs.id
  }
}

module cluster 'modules/cluster.bicep' = [for each in filter(items(cloud.clusters), one => !contains(leftOut, one.key)): {
  name: 'cluster-${each.key}'
  params: {
    workspaceName: workspace.outputs.name
    name: each.key
    location: location
    settings: each.value
    identity: identities.outputs.jobsId
    subnet: privateNetwork ? resourceId('Microsoft.Network/virtualNetworks/subnets', name, 'compute') : ''
  }
  dependsOn: [
    network
    jobRights
  ]
}]

module database 'modules/sql.bicep' = {
  name: 'database'
  params: {
    serverName: server
    databaseName: globals.sql_database
    location: location
    administrators: operators
    cores: databaseCores
    pauseMinutes: databasePauseMinutes
    closed: privateNetwork
    logs: logs.outputs.id
  }
}

module eventHubs 'modules/event_hubs.bicep' = {
  name: 'event-hubs'
  params: {
    name: '${name}-${unique}'
    location: location
    hubName: 'telemetry'
    partitions: partitions
    storageName: dataAccount
    container: 'raw'
    folder: captureFolder
    blobContributor: roles.blobContributor
    closed: privateNetwork
    logs: logs.outputs.id
  }
  dependsOn: [
    data
  ]
}

module windows 'modules/stream_analytics.bicep' = if (streamed) {
  name: 'windows'
  params: {
    name: '${name}-windows'
    location: location
    namespaceName: eventHubs.outputs.name
    hubName: eventHubs.outputs.hubName
    consumerGroup: eventHubs.outputs.consumerGroup
    storageName: dataAccount
    container: quarantine
    serverName: server
    databaseName: globals.sql_database
    table: 'stream_windows'
    hubReceiver: roles.hubReceiver
    blobContributor: roles.blobContributor
    units: 3
    lateSeconds: 300
    logs: logs.outputs.id
  }
  dependsOn: [
    data
    database
  ]
}

module videoEvents 'modules/video_events.bicep' = if (triggered) {
  name: 'video-events'
  params: {
    name: '${name}-videos'
    location: location
    storageName: dataAccount
    container: watched.container
    suffixes: watched.suffixes
    queue: videoQueue
    deadLetters: deadLetters
    queueSender: roles.queueSender
    blobContributor: roles.blobContributor
    logs: logs.outputs.id
  }
  dependsOn: [
    data
  ]
}

module trigger 'modules/video_trigger.bicep' = if (triggered) {
  name: 'trigger'
  params: {
    name: '${name}-videos'
    location: location
    identity: identities.outputs.triggerId
    storageName: dataAccount
    queue: videoQueue
    settings: watched
    region: location
    workspaceId: workspace.outputs.id
    logs: logs.outputs.id
  }
  dependsOn: [
    triggerRights
  ]
}

// Who may do what. Each assignment is on the least that it can be on, and says why it is needed.

module jobRights 'modules/job_rights.bicep' = {
  name: 'job-rights'
  params: {
    principal: identities.outputs.jobsPrincipal
    dataName: dataAccount
    codeName: codeAccount
    videos: watched.container
    registryName: registryName
    insightsName: insights.outputs.name
  }
  dependsOn: [
    data
    code
    registry
  ]
}

module triggerRights 'modules/trigger_rights.bicep' = if (triggered) {
  name: 'trigger-rights'
  params: {
    principal: identities.outputs.triggerPrincipal
    storageName: dataAccount
    queue: videoQueue
    markers: watched.markers
    workspaceName: workspace.outputs.name
  }
  dependsOn: [
    data
  ]
}

module operatorRights 'modules/operator_rights.bicep' = {
  name: 'operator-rights'
  params: {
    principal: operators.id
    workspaceName: workspace.outputs.name
    accountNames: [
      dataAccount
      codeAccount
    ]
    identityName: cloud.identity
  }
  dependsOn: [
    data
    code
    identities
  ]
}

// The network, where it is wanted.

module network 'modules/network.bicep' = if (privateNetwork) {
  name: 'network'
  params: {
    name: name
    location: location
    addresses: addresses
  }
}

module endpoints 'modules/private_endpoints.bicep' = if (privateNetwork) {
  name: 'endpoints'
  params: {
    name: name
    location: location
    network: resourceId('Microsoft.Network/virtualNetworks', name)
    subnet: resourceId('Microsoft.Network/virtualNetworks/subnets', name, 'endpoints')
    dataName: dataAccount
    codeName: codeAccount
    keyVaultName: keyVaultName
    registryName: registryName
    serverName: server
    namespaceName: eventHubs.outputs.name
    workspaceName: workspace.outputs.name
  }
  dependsOn: [
    network
    data
    code
    keyVault
    registry
    database
  ]
}

@description('What AZURE_ML_WORKSPACE is to be.')
output workspaceName string = workspace.outputs.name

@description('Object id of the identity that jobs have; its user in the database is called as conf/azureml/cloud.yml calls it.')
output jobsPrincipal string = identities.outputs.jobsPrincipal

@description('Namespace that devices send readings to; who sends needs the role Azure Event Hubs Data Sender on it.')
output eventHubs string = eventHubs.outputs.name
