// Rights of operators: everything except changing the workspace itself and assigning roles.

@description('Object id of the operators\' Entra group.')
param principal string

param workspaceName string

@description('Names of all storage accounts.')
param accountNames array

@description('Name of the clusters\' identity.')
param identityName string

var roles = loadJsonContent('../roles.json')

module work 'workspace_role.bicep' = [for each in ['dataScientist', 'computeOperator']: {
  name: 'operators-${each}'
  params: {
    workspaceName: workspaceName
    principal: principal
    principalType: 'Group'
    role: roles[each]
    reason: 'Operators run jobs, publish pipelines, promote models and change clusters, but not the workspace itself.'
  }
}]

module files 'account_role.bicep' = [for each in accountNames: {
  name: 'operators-${each}'
  params: {
    accountName: each
    principal: principal
    principalType: 'Group'
    role: roles.blobContributor
    reason: 'Operators upload data and code, read results and reset markers, in all containers, including those that Azure ML creates.'
  }
}]

module attach 'identity_role.bicep' = {
  name: 'operators-attach'
  params: {
    identityName: identityName
    principal: principal
    principalType: 'Group'
    role: roles.identityOperator
    reason: 'Creating a cluster requires the right to assign it this identity.'
  }
}
