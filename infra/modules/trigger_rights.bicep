// Rights of the Logic App: receive messages, write markers, start published pipelines.

@description('Object id of the Logic App\'s identity.')
param principal string

@description('Storage account of the data, its queue of new videos, and its container of markers.')
param storageName string

param queue string
param markers string
param workspaceName string

var roles = loadJsonContent('../roles.json')

module receiveMessages 'queue_role.bicep' = {
  name: 'trigger-receive-messages'
  params: {
    accountName: storageName
    queueName: queue
    principal: principal
    role: roles.queueProcessor
    reason: 'The Logic App receives and deletes messages of this queue, and adds none.'
  }
}

module writeMarkers 'container_role.bicep' = {
  name: 'trigger-write-markers'
  params: {
    accountName: storageName
    containerName: markers
    principal: principal
    role: roles.blobContributor
    reason: 'The Logic App creates and changes markers; it reads no videos, and no narrower role can write.'
  }
}

module starter 'starter_role.bicep' = {
  name: 'starter-role'
  params: {
    workspaceName: workspaceName
  }
}

module startPipelines 'workspace_role.bicep' = {
  name: 'trigger-start-pipelines'
  params: {
    workspaceName: workspaceName
    principal: principal
    role: starter.outputs.role
    reason: 'The Logic App starts the published pipeline and reads its state; Azure ML requires these rights on the workspace, where the job is created.'
  }
}
