// Collects the logs of all other resources; `infra/queries` queries it.

param name string
param location string

@description('Days after which entries are deleted.')
@minValue(30)
@maxValue(730)
param retentionDays int

resource logs 'Microsoft.OperationalInsights/workspaces@2023-09-01' = {
  name: name
  location: location
  properties: {
    sku: {
      name: 'PerGB2018'
    }
    retentionInDays: retentionDays
    features: {
      disableLocalAuth: true // entries arrive by diagnostic settings, not with a workspace key
    }
  }
}

output id string = logs.id
