// Deploys the Azure resources of Quartet into a resource group; infra/README.md explains how.
//
// Names come from conf/azureml, which the project's commands also read.

targetScope = 'resourceGroup'

@description('Prefix of all names that conf/azureml does not contain, and name of the workspace: lower-case letters, digits and hyphens, beginning with a letter.')
@minLength(3)
@maxLength(12)
param name string = 'quartet'

@description('Entra group of operators: name and object id.')
param operators object

@description('Storage account of the data, and database server, if not those of globals.yml. Their names are unique in Azure, so that two environments need different ones.')
param storageAccount string = ''

param sqlServer string = ''

@description('Clusters of cloud.yml to omit, such as those without quota yet.')
param omittedClusters array = []

@description('Redundancy of the storage accounts.')
@allowed([
  'Standard_LRS'
  'Standard_ZRS'
  'Standard_GRS'
])
param redundancy string = 'Standard_LRS'

@description('Maximum cores of the database; idle minutes until it pauses, -1 for never.')
param databaseCores int = 2

param databasePauseMinutes int = 60

@description('Partitions of the event hub, which cannot be changed later.')
param partitions int = 4

@description('Whether Stream Analytics computes windows as they close.')
param streamWindows bool = false

@description('Whether new videos start the published pipeline; publish it first: kedro cloud publish.')
param videoTrigger bool = false

@description('Whether to use a private network with private endpoints.')
param privateNetwork bool = false

@description('Address range of that network, in CIDR notation.')
param addressSpace string = '10.20.0.0/16'

@description('Whether to recover the key vault of an earlier deployment, deleted less than 90 days ago, whose name is still taken. Set it for one deployment: without such a vault it fails.')
param recoverKeyVault bool = false

@description('Retention of log entries, captured readings and reports, in days; 0 keeps the latter two for ever.')
param logDays int = 90

param captureDays int = 400
param reportDays int = 0

var globals = loadYamlContent('../conf/azureml/globals.yml')
var cloud = loadYamlContent('../conf/azureml/cloud.yml').cloud

var location = cloud.region
// The trigger is optional in cloud.yml. any(): the compiler reads the file, and would reject a missing key.
var hasTrigger = contains(cloud, 'trigger')
var triggerSettings = hasTrigger ? any(cloud).trigger : {
  container: ''
  markers: ''
  suffixes: []
}
// Consumption-based Logic Apps and Stream Analytics cannot join a private network. There, `kedro cloud
// watch` and the pipelines do the same.
var deployTrigger = videoTrigger && hasTrigger && !privateNetwork
var deployStreaming = streamWindows && !privateNetwork
var unique = uniqueString(resourceGroup().id)
var compactName = replace(name, '-', '')
var dataAccount = empty(storageAccount) ? globals.storage_account : storageAccount
var server = empty(sqlServer) ? globals.sql_server : sqlServer
var codeAccount = '${take(compactName, 7)}code${unique}'
var keyVaultName = take('${name}-${unique}', 24)
var registryName = '${compactName}${unique}'

// Containers that steps do not use: undelivered events of Event Grid, quarantined readings.
var deadLetters = 'deadletters'
var quarantine = 'quarantine'
var dataContainers = union(map(items(cloud.datastores), each => each.value), hasTrigger ? [
  triggerSettings.container
  triggerSettings.markers
] : [], [
  deadLetters
  quarantine
])
var videoQueue = 'new-${triggerSettings.container}'
// Folder in the container `raw` that the pipeline sensor_ingestion reads.
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
    retentionDays: logDays
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
    isPrivate: privateNetwork
    logs: logs.outputs.id
  }
}

module registry 'modules/container_registry.bicep' = {
  name: 'registry'
  params: {
    name: registryName
    location: location
    isPrivate: privateNetwork
    logs: logs.outputs.id
  }
}

module data 'modules/storage_account.bicep' = {
  name: 'data'
  params: {
    name: dataAccount
    location: location
    redundancy: redundancy
    containers: dataContainers
    queues: hasTrigger ? [
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
    isPrivate: privateNetwork
    logs: logs.outputs.id
  }
}

module code 'modules/storage_account.bicep' = {
  name: 'code'
  params: {
    name: codeAccount
    location: location
    redundancy: redundancy
    containers: []
    queues: []
    rules: [
      {
        name: 'old-jobs' // code, logs and step folders are rarely read after a month
        prefixes: []
        coolDays: 30
        deleteDays: 0
      }
    ]
    isPrivate: privateNetwork
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
    isPrivate: privateNetwork
    logs: logs.outputs.id
  }
}

module cluster 'modules/cluster.bicep' = [for each in filter(items(cloud.clusters), one => !contains(omittedClusters, one.key)): {
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
    isPrivate: privateNetwork
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
    isPrivate: privateNetwork
    logs: logs.outputs.id
  }
  dependsOn: [
    data
  ]
}

module windows 'modules/stream_analytics.bicep' = if (deployStreaming) {
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

module videoEvents 'modules/video_events.bicep' = if (deployTrigger) {
  name: 'video-events'
  params: {
    name: '${name}-videos'
    location: location
    storageName: dataAccount
    container: triggerSettings.container
    suffixes: triggerSettings.suffixes
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

module trigger 'modules/video_trigger.bicep' = if (deployTrigger) {
  name: 'trigger'
  params: {
    name: '${name}-videos'
    location: location
    identity: identities.outputs.triggerId
    storageName: dataAccount
    queue: videoQueue
    settings: triggerSettings
    region: location
    workspaceId: workspace.outputs.id
    logs: logs.outputs.id
  }
  dependsOn: [
    triggerRights
  ]
}

// Role assignments, each with the smallest possible scope and its reason.

module jobRights 'modules/job_rights.bicep' = {
  name: 'job-rights'
  params: {
    principal: identities.outputs.jobsPrincipal
    dataName: dataAccount
    codeName: codeAccount
    videos: triggerSettings.container
    registryName: registryName
    insightsName: insights.outputs.name
  }
  dependsOn: [
    data
    code
    registry
  ]
}

module triggerRights 'modules/trigger_rights.bicep' = if (deployTrigger) {
  name: 'trigger-rights'
  params: {
    principal: identities.outputs.triggerPrincipal
    storageName: dataAccount
    queue: videoQueue
    markers: triggerSettings.markers
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

// The private network.

module network 'modules/network.bicep' = if (privateNetwork) {
  name: 'network'
  params: {
    name: name
    location: location
    addressSpace: addressSpace
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

@description('Value of AZURE_ML_WORKSPACE.')
output workspaceName string = workspace.outputs.name

@description('Object id of the jobs\' identity; its database user has the name in conf/azureml/cloud.yml.')
output jobsPrincipal string = identities.outputs.jobsPrincipal

@description('Event Hubs namespace that devices send readings to, with the role Azure Event Hubs Data Sender.')
output eventHubs string = eventHubs.outputs.name
