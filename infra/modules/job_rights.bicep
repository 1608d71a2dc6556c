// Rights of steps: read inputs, write results, send telemetry.

@description('Object id of the clusters\' identity.')
param principal string

@description('Storage accounts of the data, and of code and logs.')
param dataName string

param codeName string

@description('Container for uploaded videos; empty for none.')
param videos string

param registryName string
param insightsName string

var roles = loadJsonContent('../roles.json')

module readRaw 'container_role.bicep' = {
  name: 'jobs-read-raw'
  params: {
    accountName: dataName
    containerName: 'raw'
    principal: principal
    role: roles.blobReader
    reason: 'Steps read inputs and never change them.'
  }
}

module readVideos 'container_role.bicep' = if (!empty(videos)) {
  name: 'jobs-read-videos'
  params: {
    accountName: dataName
    containerName: videos
    principal: principal
    role: roles.blobReader
    reason: 'Steps read videos. They must not write here, as a result would be taken for a new video.'
  }
}

module write 'container_role.bicep' = [for each in ['work', 'models', 'reports']: {
  name: 'jobs-write-${each}'
  params: {
    accountName: dataName
    containerName: each
    principal: principal
    role: roles.blobContributor
    reason: 'Steps write results here, and replace and delete intermediate files; no narrower role can write.'
  }
}]

module useFolders 'account_role.bicep' = {
  name: 'jobs-use-folders'
  params: {
    accountName: codeName
    principal: principal
    role: roles.blobContributor
    reason: 'Steps fetch code and pass data in containers that Azure ML creates at run time, so no container can be named.'
  }
}

module pullImages 'registry_role.bicep' = {
  name: 'jobs-pull-images'
  params: {
    registryName: registryName
    principal: principal
    role: roles.acrPull
    reason: 'Nodes pull the image of the steps, and push none.'
  }
}

module sendTelemetry 'insights_role.bicep' = {
  name: 'jobs-send-telemetry'
  params: {
    insightsName: insightsName
    principal: principal
    role: roles.metricsPublisher
    reason: 'Steps send durations, metrics and warnings; the role can write telemetry, and read nothing.'
  }
}
