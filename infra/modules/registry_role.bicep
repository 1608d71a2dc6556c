// Assigns a role on the container registry.

param registryName string

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

resource target 'Microsoft.ContainerRegistry/registries@2025-04-01' existing = {
  name: registryName
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
