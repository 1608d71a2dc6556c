// A role on a user-assigned identity.

param identityName string

@description('Object id of who gets the role.')
param principal string

@allowed([
  'ServicePrincipal'
  'Group'
])
param principalType string = 'ServicePrincipal'

@description('Role definition: its GUID.')
param role string

@description('Why it is needed, and why nothing narrower will do; kept with the assignment.')
param reason string

resource target 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' existing = {
  name: identityName
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
