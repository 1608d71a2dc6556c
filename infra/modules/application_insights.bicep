// Traces and metrics of runs that have its connection string; see docs/operate.md.

param name string
param location string

@description('Log Analytics workspace that keeps what comes in.')
param logs string

resource insights 'Microsoft.Insights/components@2020-02-02' = {
  name: name
  location: location
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: logs
    IngestionMode: 'LogAnalytics'
    DisableLocalAuth: true // whoever sends needs a role: the connection string opens nothing by itself
    DisableIpMasking: false // addresses of whoever sends are not kept
  }
}

output id string = insights.id
output name string = insights.name
