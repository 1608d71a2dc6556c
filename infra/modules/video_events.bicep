// Sends an event for each new video to a queue: a web hook's address would contain a key, and a queue
// buffers bursts.

param name string
param location string

@description('Storage account of the data.')
param storageName string

@description('Container for uploaded videos.')
param container string

@description('Suffixes of videos, in lower case.')
param suffixes array

@description('Queue that receives the events.')
param queue string

@description('Container of events that could not be delivered, with the reason.')
param deadLetters string

@description('Role definitions of Storage Queue Data Message Sender and Storage Blob Data Contributor.')
param queueSender string

param blobContributor string

@description('Log Analytics workspace for failed deliveries.')
param logs string

var storage = resourceId('Microsoft.Storage/storageAccounts', storageName)

resource topic 'Microsoft.EventGrid/systemTopics@2022-06-15' = {
  name: name
  location: location
  identity: {
    type: 'SystemAssigned' // the only kind that a storage account behind a firewall admits
  }
  properties: {
    source: storage
    topicType: 'Microsoft.Storage.StorageAccounts'
  }
}

module sendEvents 'queue_role.bicep' = {
  name: 'events-to-${queue}'
  params: {
    accountName: storageName
    queueName: queue
    principal: topic.identity.principalId
    role: queueSender
    reason: 'Event Grid adds messages to this queue, and reads none.'
  }
}

module writeDeadLetters 'container_role.bicep' = {
  name: 'events-to-${deadLetters}'
  params: {
    accountName: storageName
    containerName: deadLetters
    principal: topic.identity.principalId
    role: blobContributor
    reason: 'Event Grid writes undelivered events here; no narrower role can write.'
  }
}

resource subscription 'Microsoft.EventGrid/systemTopics/eventSubscriptions@2022-06-15' = {
  parent: topic
  name: 'new-videos'
  properties: {
    eventDeliverySchema: 'EventGridSchema'
    filter: {
      includedEventTypes: [
        'Microsoft.Storage.BlobCreated'
      ]
      subjectBeginsWith: '/blobServices/default/containers/${container}/blobs/'
      isSubjectCaseSensitive: false // a suffix may be in upper case
      advancedFilters: [
        {
          operatorType: 'StringEndsWith'
          key: 'subject'
          values: suffixes
        }
        {
          operatorType: 'NumberGreaterThan' // append blobs are announced while they are empty
          key: 'data.contentLength'
          value: 0
        }
      ]
    }
    deliveryWithResourceIdentity: {
      identity: {
        type: 'SystemAssigned'
      }
      destination: {
        endpointType: 'StorageQueue'
        properties: {
          resourceId: storage
          queueName: queue
          queueMessageTimeToLiveInSeconds: -1 // messages never expire
        }
      }
    }
    deadLetterWithResourceIdentity: {
      identity: {
        type: 'SystemAssigned'
      }
      deadLetterDestination: {
        endpointType: 'StorageBlob'
        properties: {
          resourceId: storage
          blobContainerName: deadLetters
        }
      }
    }
    retryPolicy: {
      maxDeliveryAttempts: 30
      eventTimeToLiveInMinutes: 1440
    }
  }
  dependsOn: [
    sendEvents
    writeDeadLetters
  ]
}

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-log-analytics'
  scope: topic
  properties: {
    workspaceId: logs
    logs: [
      {
        category: 'DeliveryFailures'
        enabled: true
      }
    ]
  }
}
