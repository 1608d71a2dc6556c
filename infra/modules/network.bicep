// A network of one's own: machines without an address on the internet, and a subnet for private
// endpoints.

param name string
param location string

@description('Addresses of the network, at least a /20, in CIDR notation.')
param addresses string

var computeAddresses = cidrSubnet(addresses, 22, 0)
var endpointAddresses = cidrSubnet(addresses, 24, 4)

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

// The way out of machines that have no address of their own: packages, base images, Azure ML itself.
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
        addresses
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
