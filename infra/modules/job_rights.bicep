// What steps of jobs may do: read what comes from outside, write results, tell how it goes.

@description('Object id of the identity of the clusters.')
param principal string

@description('Storage accounts of the data, and of code and logs.')
param dataName string

param codeName string

@description('Container that videos are uploaded to; empty where there is none.')
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
    reason: 'Steps read what comes from outside, and never change it.'
  }
}

module readVideos 'container_role.bicep' = if (!empty(videos)) {
  name: 'jobs-read-videos'
  params: {
    accountName: dataName
    containerName: videos
    principal: principal
    role: roles.blobReader
    reason: 'Steps read videos, and put nothing beside them: a result here would be taken for a new video.'
  }
}

module write 'container_role.bicep' = [for each in ['work', 'models', 'reports']: {
  name: 'jobs-write-${each}'
  params: {
    accountName: dataName
    containerName: each
    principal: principal
    role: roles.blobContributor
    reason: 'Steps write their results here, and replace and remove segments of work; no narrower role writes.'
  }
}]

module useFolders 'account_role.bicep' = {
  name: 'jobs-use-folders'
  params: {
    accountName: codeName
    principal: principal
    role: roles.blobContributor
    reason: 'Steps fetch their code and hand results on in containers that Azure ML makes as it goes, so no container can be named.'
  }
}

module pullImages 'registry_role.bicep' = {
  name: 'jobs-pull-images'
  params: {
    registryName: registryName
    principal: principal
    role: roles.acrPull
    reason: 'Machines pull the image of the steps, and push none.'
  }
}

module tell 'insights_role.bicep' = {
  name: 'jobs-tell'
  params: {
    insightsName: insightsName
    principal: principal
    role: roles.metricsPublisher
    reason: 'Steps tell of their times, metrics and warnings; the role writes these, and reads nothing.'
  }
}
