// Production: zone-redundant storage, a database that never pauses, streamed windows, the video trigger.
// The operators' group comes from environment variables.

using 'main.bicep'

param name = 'quartet'
param operators = {
  name: readEnvironmentVariable('QUARTET_OPERATORS_NAME')
  id: readEnvironmentVariable('QUARTET_OPERATORS_ID')
}
param storageAccount = ''
param sqlServer = ''
param omittedClusters = []
param redundancy = 'Standard_ZRS'
param databaseCores = 4
param databasePauseMinutes = -1
param partitions = 8
param streamWindows = true
param videoTrigger = true
param privateNetwork = false
param addressSpace = '10.20.0.0/16'
param recoverKeyVault = false
param logDays = 180
param captureDays = 400
param reportDays = 0
