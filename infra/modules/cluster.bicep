// A compute cluster that scales with its jobs. `kedro cloud provision` updates it later; both read
// cloud.yml.

@description('Azure ML workspace of the cluster.')
param workspaceName string

param name string
param location string

@description('Its settings in cloud.yml: size, min_nodes, max_nodes, idle_seconds, tier.')
param settings object

@description('User-assigned identity with which steps access storage, registry and database.')
param identity string

@description('Subnet of its nodes; empty for a network of Azure ML\'s own.')
param subnet string

resource workspace 'Microsoft.MachineLearningServices/workspaces@2026-05-15-preview' existing = {
  name: workspaceName
}

resource cluster 'Microsoft.MachineLearningServices/workspaces/computes@2026-05-01' = {
  parent: workspace
  name: name
  location: location
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identity}': {}
    }
  }
  properties: {
    computeType: 'AmlCompute'
    disableLocalAuth: true // no sign-in to nodes with a password or key
    properties: {
      osType: 'Linux'
      vmSize: settings.size
      vmPriority: settings.tier == 'low_priority' ? 'LowPriority' : 'Dedicated'
      remoteLoginPortPublicAccess: 'Disabled'
      enableNodePublicIp: empty(subnet)
      subnet: empty(subnet) ? null : {
        id: subnet
      }
      scaleSettings: {
        minNodeCount: settings.min_nodes
        maxNodeCount: settings.max_nodes
        nodeIdleTimeBeforeScaleDown: 'PT${settings.idle_seconds}S'
      }
    }
  }
}
