// Development: locally redundant storage, a database that pauses, no GPU cluster. The operators' group
// comes from environment variables, so that no file contains an id.

using 'main.bicep'

param name = 'quartet-dev'
param operators = {
  name: readEnvironmentVariable('QUARTET_OPERATORS_NAME')
  id: readEnvironmentVariable('QUARTET_OPERATORS_ID')
}
param storageAccount = ''
param sqlServer = ''
param omittedClusters = [
  'gpu-cluster'
]
param redundancy = 'Standard_LRS'
param databaseCores = 2
param databasePauseMinutes = 60
param partitions = 2
param streamWindows = false
param videoTrigger = false
param privateNetwork = false
param addressSpace = '10.20.0.0/16'
param recoverKeyVault = false
param logDays = 30
param captureDays = 30
param reportDays = 90
