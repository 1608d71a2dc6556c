// Who jobs and the trigger are when they enter something. They are made before anything uses them, so
// that their roles are known everywhere by the time they count, and stay when what uses them is created again.

@description('Name of the identity that the clusters have.')
param jobsName string

@description('Name of the identity that the Logic App has.')
param triggerName string

param location string

resource jobs 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: jobsName
  location: location
}

resource trigger 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: triggerName
  location: location
}

output jobsId string = jobs.id
output jobsPrincipal string = jobs.properties.principalId
output triggerId string = trigger.id
output triggerPrincipal string = trigger.properties.principalId
