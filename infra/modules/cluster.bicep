// Machines that come when jobs want them. `kedro cloud provision` keeps them as cloud.yml says
// afterwards; both read the same lines.

@description('Workspace that it belongs to.')
param workspaceName string

param name string
param location string

@description('Its lines of cloud.yml: size, min_nodes, max_nodes, idle_seconds, tier.')
param settings object

@description('Identity by which its steps enter storage, registry and database.')
param identity string

@description('Where its machines stand; empty for a network of Azure ML\'s own.')
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
    disableLocalAuth: true // nobody signs in to a machine with a password or key
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
