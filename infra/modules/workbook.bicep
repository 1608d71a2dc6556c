// Shows the queries of infra/queries on one page of the portal.

param location string

@description('Log Analytics workspace to query.')
param logs string

var queries = [
  {
    title: 'Failed jobs'
    query: loadTextContent('../queries/failed_jobs.kql')
    view: 'table'
  }
  {
    title: 'Node hours'
    query: loadTextContent('../queries/idle_nodes.kql')
    view: 'table'
  }
  {
    title: 'Waits for nodes'
    query: loadTextContent('../queries/waits.kql')
    view: 'table'
  }
  {
    title: 'Alarm rates'
    query: loadTextContent('../queries/alarm_rates.kql')
    view: 'timechart'
  }
  {
    title: 'Slowest pipeline nodes'
    query: loadTextContent('../queries/slow_nodes.kql')
    view: 'table'
  }
]

var items = [for each in queries: {
  type: 3 // a query
  name: each.title
  content: {
    version: 'KqlItem/1.0'
    title: each.title
    query: each.query
    queryType: 0
    resourceType: 'microsoft.operationalinsights/workspaces'
    visualization: each.view
  }
}]

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(resourceGroup().id, 'quartet-operations')
  location: location
  kind: 'shared'
  properties: {
    displayName: 'Quartet: jobs, machines, alarms'
    category: 'workbook'
    sourceId: logs
    serializedData: string({
      version: 'Notebook/1.0'
      items: items
      fallbackResourceIds: [
        logs
      ]
    })
  }
}
