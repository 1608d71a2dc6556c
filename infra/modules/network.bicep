// A private network: a subnet for nodes, which have no public address, and one for private endpoints.

param name string
param location string

@description('Address range in CIDR notation, at least a /20.')
param addressSpace string

var computeAddresses = cidrSubnet(addressSpace, 22, 0)
var endpointAddresses = cidrSubnet(addressSpace, 24, 4)

resource guard 'Microsoft.Network/networkSecurityGroups@2024-05-01' = {
  name: '${name}-guard'
  location: location
  properties: {
    securityRules: [
      {
        name: 'nothing-from-outside'
        properties: {
          priority: 1000
          direction: 'Inbound'
          access: 'Deny'
          protocol: '*'
          sourceAddressPrefix: 'Internet'
          sourcePortRange: '*'
          destinationAddressPrefix: '*'
          destinationPortRange: '*'
        }
      }
    ]
  }
}

// Outbound access of nodes, for packages, base images and Azure ML; they have no public address.
resource address 'Microsoft.Network/publicIPAddresses@2024-05-01' = {
  name: '${name}-out'
  location: location
  sku: {
    name: 'Standard'
  }
  properties: {
    publicIPAllocationMethod: 'Static'
  }
}

resource out 'Microsoft.Network/natGateways@2024-05-01' = {
  name: '${name}-out'
  location: location
  sku: {
    name: 'Standard'
  }
  properties: {
    publicIpAddresses: [
      {
        id: address.id
      }
    ]
  }
}

resource network 'Microsoft.Network/virtualNetworks@2024-05-01' = {
  name: name
  location: location
  properties: {
    addressSpace: {
      addressPrefixes: [
        addressSpace
      ]
    }
    subnets: [
      {
        name: 'compute'
        properties: {
          addressPrefix: computeAddresses
          natGateway: {
            id: out.id
          }
          networkSecurityGroup: {
            id: guard.id
          }
        }
      }
      {
        name: 'endpoints'
        properties: {
          addressPrefix: endpointAddresses
          networkSecurityGroup: {
            id: guard.id
          }
          privateEndpointNetworkPolicies: 'Enabled'
        }
      }
    ]
  }
}
