// To rely on: copies in three data centres, a database that never sleeps, windows as they close, videos
// that start by themselves. The group of its people is named by whoever deploys.

using 'main.bicep'

param name = 'quartet'
param operators = {
  name: readEnvironmentVariable('QUARTET_OPERATORS_NAME')
  id: readEnvironmentVariable('QUARTET_OPERATORS_ID')
}
param storageAccount = ''
param sqlServer = ''
param leftOut = []
param copies = 'Standard_ZRS'
param databaseCores = 4
param databasePauseMinutes = -1
param partitions = 8
param streamWindows = true
param videoTrigger = true
param privateNetwork = false
param addresses = '10.20.0.0/16'
param recoverKeyVault = false
param logDays = 180
param captureDays = 400
param reportDays = 0
