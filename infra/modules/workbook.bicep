// The queries of infra/queries as one page of the portal.

param location string

@description('Log Analytics workspace that is asked.')
param logs string

var questions = [
  {
    title: 'Failed jobs'
    query: loadTextContent('../queries/failed_jobs.kql')
    view: 'table'
  }
  {
    title: 'Hours of machines'
    query: loadTextContent('../queries/idle_nodes.kql')
    view: 'table'
  }
  {
    title: 'Waiting for a machine'
    query: loadTextContent('../queries/waits.kql')
    view: 'table'
  }
  {
    title: 'Alarm rates'
    query: loadTextContent('../queries/alarm_rates.kql')
    view: 'timechart'
  }
  {
    title: 'Time by node'
    query: loadTextContent('../queries/slow_nodes.kql')
    view: 'table'
  }
]

var items = [for each in questions: {
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
