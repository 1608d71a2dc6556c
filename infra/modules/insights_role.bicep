// A role on Application Insights.

param insightsName string

@description('Object id of who gets the role.')
param principal string

@description('Role definition: its GUID.')
param role string

@description('Why it is needed, and why nothing narrower will do; kept with the assignment.')
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
