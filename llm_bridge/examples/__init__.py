"""Scripts that run: python -m llm_bridge.examples.own_judge FOLDER --policy owner/model, and likewise the others.

    own_judge      a function of yours says which answer is better
    reward_model   a sequence classifier in a folder does
    http_judge     a language model behind a server does
    messages       prompts with a system message and several turns
"""
