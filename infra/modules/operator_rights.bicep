// What the people may do who operate it: all but change the workspace itself, or give roles.

@description('Object id of their Entra group.')
param principal string

param workspaceName string

@description('Names of all storage accounts.')
param accountNames array

@description('Name of the identity that clusters have.')
param identityName string

var roles = loadJsonContent('../roles.json')

module work 'workspace_role.bicep' = [for each in ['dataScientist', 'computeOperator']: {
  name: 'operators-${each}'
  params: {
    workspaceName: workspaceName
    principal: principal
    principalType: 'Group'
    role: roles[each]
    reason: 'People run jobs, publish pipelines, promote models, and change clusters; none of it changes the workspace itself.'
  }
}]

module files 'account_role.bicep' = [for each in accountNames: {
  name: 'operators-${each}'
  params: {
    accountName: each
    principal: principal
    principalType: 'Group'
    role: roles.blobContributor
    reason: 'People upload data and code, read results and reset markers, in all containers, those that Azure ML makes included.'
  }
}]

module attach 'identity_role.bicep' = {
  name: 'operators-attach'
  params: {
    identityName: identityName
    principal: principal
    principalType: 'Group'
    role: roles.identityOperator
    reason: 'Whoever makes a cluster must be allowed to give it this identity.'
  }
}
