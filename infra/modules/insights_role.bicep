// Assigns a role on Application Insights.

param insightsName string

@description('Object id of the principal that gets the role.')
param principal string

@description('GUID of the role definition.')
param role string

@description('Why the role is needed, and why no narrower one suffices; stored with the assignment.')
param reason string

resource target 'Microsoft.Insights/components@2020-02-02' existing = {
  name: insightsName
}

resource assignment 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(target.id, principal, role)
  scope: target
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role)
    principalId: principal
    principalType: 'ServicePrincipal'
    description: reason
  }
}
