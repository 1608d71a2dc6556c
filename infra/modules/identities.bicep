// Identities of jobs and of the trigger. They outlive the resources that use them, so that roles need
// to be assigned only once, and have propagated before they are needed.

@description('Name of the clusters\' identity.')
param jobsName string

@description('Name of the Logic App\'s identity.')
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
