// To try and to develop in: one copy of everything, a database that pauses, no GPU before there is a
// quota. The group of its people is named by whoever deploys, so that no id stands in a file.

using 'main.bicep'

param name = 'quartet-dev'
param operators = {
  name: readEnvironmentVariable('QUARTET_OPERATORS_NAME')
  id: readEnvironmentVariable('QUARTET_OPERATORS_ID')
}
param storageAccount = ''
param sqlServer = ''
param leftOut = [
  'gpu-cluster'
]
param copies = 'Standard_LRS'
param databaseCores = 2
param databasePauseMinutes = 60
param partitions = 2
param streamWindows = false
param videoTrigger = false
param privateNetwork = false
param addresses = '10.20.0.0/16'
param recoverKeyVault = false
param logDays = 30
param captureDays = 30
param reportDays = 90
