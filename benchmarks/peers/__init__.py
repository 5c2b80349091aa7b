"""The frameworks that DistilGrid is compared with; they need `benchmarks/peers/requirements.txt`."""

from peers.torchvision_operators import declare_missing_operators

declare_missing_operators()  # before transformers looks at torchvision
