// Stores traces and metrics of runs that have its connection string; see docs/operate.md.

param name string
param location string

@description('Log Analytics workspace that stores the telemetry.')
param logs string

resource insights 'Microsoft.Insights/components@2020-02-02' = {
  name: name
  location: location
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: logs
    IngestionMode: 'LogAnalytics'
    DisableLocalAuth: true // senders need a role; the connection string alone grants nothing
    DisableIpMasking: false // IP addresses of senders are not stored
  }
}

output id string = insights.id
output name string = insights.name
