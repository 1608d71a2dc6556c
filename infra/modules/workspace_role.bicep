// Assigns a role on the Azure ML workspace.

param workspaceName string

@description('Object id of the principal that gets the role.')
param principal string

@allowed([
  'ServicePrincipal'
  'Group'
])
param principalType string = 'ServicePrincipal'

@description('GUID of the role definition.')
param role string

@description('Why the role is needed, and why no narrower one suffices; stored with the assignment.')
param reason string

resource target 'Microsoft.MachineLearningServices/workspaces@2026-05-15-preview' existing = {
  name: workspaceName
}

resource assignment 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(target.id, principal, role)
  scope: target
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role)
    principalId: principal
    principalType: principalType
    description: reason
  }
}
