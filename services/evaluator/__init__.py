"""evaluator: judges each sealed bundle in its serving form, on laws that no training saw.

Consumes `model-trained`, publishes `model-evaluated`; reads `release-changed` to know what to compare with. A run is named after
its `model-trained` event; a redelivery publishes the same judgement again. Without torch.
"""
