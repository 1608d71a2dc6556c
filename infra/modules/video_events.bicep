// New videos are announced in a queue. A queue, because a web hook's address would hold a key, and because
// a flood waits in it instead of being pushed on.

param name string
param location string

@description('Storage account of the data.')
param storageName string

@description('Container that videos are uploaded to.')
param container string

@description('Endings of videos, small letters.')
param suffixes array

@description('Queue of the announcements.')
param queue string

@description('Container of events that could not be delivered, each with the reason.')
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
    type: 'SystemAssigned' // the only kind that a closed storage account lets in
  }
  properties: {
    source: storage
    topicType: 'Microsoft.Storage.StorageAccounts'
  }
}

module sends 'queue_role.bicep' = {
  name: 'events-to-${queue}'
  params: {
    accountName: storageName
    queueName: queue
    principal: topic.identity.principalId
    role: queueSender
    reason: 'Event Grid adds messages to this queue, and reads none.'
  }
}

module buries 'container_role.bicep' = {
  name: 'events-to-${deadLetters}'
  params: {
    accountName: storageName
    containerName: deadLetters
    principal: topic.identity.principalId
    role: blobContributor
    reason: 'Event Grid writes events here that it could not deliver; there is no narrower role that writes.'
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
      isSubjectCaseSensitive: false // an ending may be written MP4
      advancedFilters: [
        {
          operatorType: 'StringEndsWith'
          key: 'subject'
          values: suffixes
        }
        {
          operatorType: 'NumberGreaterThan' // a blob that is appended to is announced while it is empty
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
          queueMessageTimeToLiveInSeconds: -1 // a video waits until its turn comes
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
    sends
    buries
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
