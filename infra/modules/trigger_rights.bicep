// What the Logic App may do: take messages, write markers, start what is published.

@description('Object id of its identity.')
param principal string

@description('Storage account of the data, its queue of new videos, and its container of markers.')
param storageName string

param queue string
param markers string
param workspaceName string

var roles = loadJsonContent('../roles.json')

module takes 'queue_role.bicep' = {
  name: 'trigger-takes'
  params: {
    accountName: storageName
    queueName: queue
    principal: principal
    role: roles.queueProcessor
    reason: 'The Logic App takes and removes messages of this queue, and adds none.'
  }
}

module marks 'container_role.bicep' = {
  name: 'trigger-marks'
  params: {
    accountName: storageName
    containerName: markers
    principal: principal
    role: roles.blobContributor
    reason: 'The Logic App makes and changes markers; it sees no video, and no narrower role writes.'
  }
}

module starter 'starter_role.bicep' = {
  name: 'starter-role'
  params: {
    workspaceName: workspaceName
  }
}

module starts 'workspace_role.bicep' = {
  name: 'trigger-starts'
  params: {
    workspaceName: workspaceName
    principal: principal
    role: starter.outputs.role
    reason: 'The Logic App starts the published pipeline and sees how it ends; Azure ML asks for these rights on the workspace, as the job is made there.'
  }
}
