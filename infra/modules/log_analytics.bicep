// Where everything else writes what happened to it; `infra/queries` reads it.

param name string
param location string

@description('Days after which entries are gone.')
@minValue(30)
@maxValue(730)
param keepDays int

resource logs 'Microsoft.OperationalInsights/workspaces@2023-09-01' = {
  name: name
  location: location
  properties: {
    sku: {
      name: 'PerGB2018'
    }
    retentionInDays: keepDays
    features: {
      disableLocalAuth: true // entries come by diagnostic settings, not by a workspace key
    }
  }
}

output id string = logs.id
