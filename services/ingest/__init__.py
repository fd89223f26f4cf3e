"""Takes batches of documents, over HTTP and from `documents-submitted`, validates and stores them, and says so.

Guarantee: a batch is kept whole or refused whole; what is kept is announced as `batch-received`, again at every start until
the cleaner has it. Idempotency key: the batch id, which follows from the content (HTTP) or from the event (Kafka).
"""
