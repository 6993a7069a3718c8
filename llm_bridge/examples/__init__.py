"""Runnable scripts: python -m llm_bridge.examples.own_judge FOLDER --policy owner/model, and likewise the others.

    own_judge      your own function compares answers
    reward_model   a sequence classifier in a folder compares them
    http_judge     a served language model compares them
    messages       prompts with a system message and several turns
"""
