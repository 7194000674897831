"""The stage `augment`: a store of clips and a selection to those that hold copies of the train clips, too."""
